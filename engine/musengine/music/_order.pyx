# cython: language_level=3, boundscheck=False, wraparound=False
"""The notes of a Score put in order, and its tempos, compiled."""

from libc.math cimport INFINITY, rint
from libc.string cimport memcpy

cdef extern from *:
    """
    #ifndef MADE_OF
    #define MADE_OF 0
    #endif
    """
    const long long MADE_OF

made_of = MADE_OF
"""The checksum of the sources, as `musengine.utils.built` computes it."""

cdef enum:
    BLOCK = 32

cdef double MOST_WHOLE = 2.0**53
# Up to there a float64 holds every whole number.


def sort_notes(
    const long long[:, ::1] notes,
    long long most_tick,
    long long n_tracks,
    long long[:, ::1] ordered,
):
    """Sort notes by onset, then pitch, track, duration and velocity.

    Args:
        notes: (5, N) onset, duration, pitch, velocity and track.
        most_tick: the largest onset and duration that there may be.
        n_tracks: how many tracks there are.
        ordered: (5, N) is filled.

    Returns:
        Where the last note ends; -1 where a value may be outside its range, or all bits of a note
        are more than a number has: `ordered` is then to be filled in another way.

    Raises:
        ValueError: a table has another size.
    """
    cdef Py_ssize_t count = notes.shape[1]
    cdef long long last
    if notes.shape[0] != 5 or ordered.shape[0] != 5 or ordered.shape[1] != count:
        raise ValueError("tables (5, N) of one size are needed")
    if not count:
        return 0
    with nogil:
        last = _sort_notes(&notes[0, 0], most_tick, n_tracks, &ordered[0, 0], count)
    return last


def tempo_changes(
    const double[:, ::1] tempos,
    double default,
    double longest,
    long long[::1] ticks,
    double[::1] found,
):
    """Keep the last tempo at each tick, and of those only what changes the tempo.

    Args:
        tempos: (K, 2) tick and quarter notes per minute.
        default: the tempo at tick 0 where there is no other.
        longest: microseconds that a quarter note may have; it has a whole number of them.
        ticks: (K + 1,) is filled.
        found: (K + 1,) is filled with the tempos.

    Returns:
        How many there are; -1 where they are not by tick or one is none: they are then to be found
        in another way.

    Raises:
        ValueError: a table has another size.
    """
    cdef Py_ssize_t at, count = 1
    cdef double tick, bpm, before = 0
    if tempos.shape[1] != 2 or not tempos.shape[0] + 1 == ticks.shape[0] == found.shape[0]:
        raise ValueError("tables of K + 1 are needed for (K, 2)")
    ticks[0], found[0] = 0, default
    for at in range(tempos.shape[0]):
        tick, bpm = tempos[at, 0], tempos[at, 1]
        # What is no number is not larger than any, either.
        if not before <= tick <= MOST_WHOLE or not 0 < bpm < INFINITY:
            return -1
        before = tick
        bpm = 60e6 / rint(min(max(60e6 / bpm, 1.0), longest))
        if tick == ticks[count - 1]:
            found[count - 1] = bpm
            count -= count > 1 and found[count - 2] == bpm
        elif bpm != found[count - 1]:
            ticks[count], found[count] = <long long>tick, bpm
            count += 1
    return count


cdef long long _sort_notes(
    const long long *notes,
    long long most_tick,
    long long n_tracks,
    long long *ordered,
    Py_ssize_t count,
) noexcept nogil:
    cdef const long long *onset = notes
    cdef const long long *duration = notes + count
    cdef const long long *pitch = notes + 2 * count
    cdef const long long *velocity = notes + 3 * count
    cdef const long long *track = notes + 4 * count
    cdef long long onsets = 0, durations = 0, sevens = 0, tracks = 0
    cdef long long least = 0, most_track = 0, end, last = 0, mask
    cdef int for_duration, for_track
    cdef Py_ssize_t at
    cdef long long *sorted_
    # Of whole numbers above 0 a union of bits has as many as the largest, and is not less; that of
    # all is below 0 where one is. The loops are so simple that compilers take several at once.
    for at in range(count):
        durations |= duration[at]
        tracks |= track[at]
    if not 0 <= durations <= most_tick or tracks < 0:
        return -1
    if tracks >= n_tracks:
        for at in range(count):
            most_track = max(most_track, track[at])
        if most_track >= n_tracks:
            return -1
    for_duration, for_track = bits(durations), bits(tracks)
    # Packed into one number, of which the notes are made again afterwards. The first two rows of
    # what is filled hold the numbers until then.
    for at in range(count):
        onsets |= onset[at]
        sevens |= pitch[at] | velocity[at]
        least |= (duration[at] - 1) | (velocity[at] - 1)
        ordered[at] = (
            ((<unsigned long long>onset[at] << 7 | pitch[at]) << for_track | track[at]) << for_duration | duration[at]
        ) << 7 | velocity[at]
    if least < 0 or not 0 <= onsets <= most_tick or not 0 <= sevens <= 127:
        return -1
    if bits(onsets) + for_duration + for_track + 14 > 63:
        return -1
    sorted_ = sort(ordered, ordered + count, count)
    if sorted_ != ordered:
        memcpy(ordered, sorted_, count * sizeof(long long))
    mask = (<long long>1 << for_duration) - 1
    for at in range(count):
        ordered[count + at] = ordered[at] >> 7 & mask
        ordered[3 * count + at] = ordered[at] & 127
    mask = (<long long>1 << for_track) - 1
    for at in range(count):
        ordered[at] >>= 7 + for_duration
        ordered[4 * count + at] = ordered[at] & mask
    for at in range(count):
        ordered[at] >>= for_track
        ordered[2 * count + at] = ordered[at] & 127
        ordered[at] >>= 7
    for at in range(count):
        end = ordered[at] + ordered[count + at]
        last = end if end > last else last
    return last


cdef int bits(long long value) noexcept nogil:
    """Return how many bits a number has that is not below 0."""
    cdef int count = 0
    while value:
        value >>= 1
        count += 1
    return count


cdef long long *sort(long long *keys, long long *other, Py_ssize_t count) noexcept nogil:
    """Sort numbers; returns which of the two holds them, the other being written over.

    Most are in order but for the notes of each chord, track by track: blocks are sorted by moving
    numbers a few places, and two of them merged only where they are out of order.
    """
    cdef Py_ssize_t at, place, begin, middle, stop, width = BLOCK
    cdef long long key
    for at in range(count):
        key, place, begin = keys[at], at, at - at % BLOCK
        while place > begin and keys[place - 1] > key:
            keys[place] = keys[place - 1]
            place -= 1
        keys[place] = key
    while width < count:
        begin = 0
        while begin < count:
            middle, stop = min(begin + width, count), min(begin + 2 * width, count)
            merge(keys, other, begin, middle, stop)
            begin = stop
        keys, other = other, keys
        width *= 2
    return keys


cdef void merge(
    const long long *keys,
    long long *other,
    Py_ssize_t begin,
    Py_ssize_t middle,
    Py_ssize_t stop,
) noexcept nogil:
    """Merge two parts of numbers, each in order, into the same place of another table."""
    cdef Py_ssize_t left = begin, right = middle, place = begin
    cdef bint later
    if middle < stop and keys[middle - 1] > keys[middle]:
        while keys[left] <= keys[middle]:  # which ends at `middle - 1` at the latest
            left += 1
        memcpy(other + place, keys + begin, (left - begin) * sizeof(long long))
        place = left
        while left < middle and right < stop:
            # Without a branch, since nobody could guess it.
            later = keys[right] < keys[left]
            other[place] = keys[right] if later else keys[left]
            right += later
            left += not later
            place += 1
    memcpy(other + place, keys + left, (middle - left) * sizeof(long long))
    place += middle - left
    memcpy(other + place, keys + right, (stop - right) * sizeof(long long))
