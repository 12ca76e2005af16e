# cython: language_level=3, boundscheck=True, wraparound=False
"""The events of a sound MIDI file to tables, compiled.

The bytes are a stranger's: no place in the file or in a table is used that was not compared with
their length. Numbers of notes that the tables hold are those of notes read before, and indices
into the arrays here are made of four and seven bits.
"""

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
    CONTROL_COLUMNS = 4

cdef enum:
    NONE = -1
    KEYS = 2048
    MOST_PARTS = 256
    MOST_METAS = 16384
    MOST = 1 << 30
    BEND = 128
    EXCLUSIVE = 0xF0
    META = 0xFF
    NAME = 0x03
    MARKER = 0x06
    END = 0x2F
    TEMPO = 0x51
    METER = 0x58
    KEY = 0x59

cdef unsigned int NEVER = 0xFFFFFFFF
cdef long long LAST_TICK = 1 << 31

cdef struct Note:
    # Ticks; a file in which they are more than these numbers hold is given up later on.
    unsigned int onset, duration
    # Part, pitch and velocity, from the highest bits to the lowest.
    unsigned int what
    # When a note of its key is struck that is later than itself, and which is the next one.
    unsigned int limit
    int next
    # The earliest note of its key that sounds when it is struck; later on when it is released.
    unsigned int ahead
    # For notes that are never released.
    unsigned int open

cdef enum:
    NOTE_COLUMNS = 7

cdef struct Control:
    # The note is the next one on the channel in the track, else the last; -1 less the channel where
    # there is none.
    unsigned int tick
    int note, number, value

cdef struct Key:
    # Of the notes of one pitch on one channel of a track: the first of all, the first that still
    # sounds, and the first and the last of those struck last at one time.
    int begins, sounds, first, last


cdef class Scan:
    """Reads files, one after the other.

    Args:
        notes: (N, 7) and
        controls: (C, 4) are filled, as `Note` and `Control` say above; bends have the number 128.
        tempos: (2, K) with tick and microseconds of a beat of each tempo.

    Attributes:
        parts: channel (track × 16 + MIDI channel) and program of each part, by channel, those of
            one channel by their first notes.
        n_notes: how many notes, controllers and tempos there are in the tables.
        n_controls: as `n_notes`.
        n_tempos: as `n_notes`.
        length: where the longest track ends.
        hanging: how many notes are never released.
        silences: how many of the controllers end all notes.
        drum_banks: how many choose a bank of drums.
        tenth: whether one chooses a bank for the tenth channel.
    """

    cdef unsigned int[:, ::1] note_table
    cdef int[:, ::1] control_table
    cdef long long[:, ::1] tempos
    cdef Note *notes
    cdef Control *controls
    cdef Py_ssize_t most_notes, most_controls
    cdef readonly list parts
    cdef readonly int n_notes, n_controls, n_tempos
    cdef readonly long long length
    cdef readonly long long hanging, silences, drum_banks
    cdef readonly bint tenth
    cdef bytes data
    cdef list metas, changes
    cdef int n_parts
    # Of each part its channel and program, and its place when they are sorted.
    cdef int part_channel[MOST_PARTS]
    cdef int part_program[MOST_PARTS]
    cdef int place_of[MOST_PARTS]
    cdef Key keys[KEYS]
    # Of each program on each channel its part.
    cdef int part_of[KEYS]
    # Of each channel its program, its last note, how many controllers wait for the next one, how
    # many notes sound, and whether its keys are of this track yet: most tracks use one channel.
    cdef int programs[16]
    cdef int last[16]
    cdef int waiting[16]
    cdef int sounding[16]
    cdef bint used[16]

    def __init__(self, notes, controls, tempos):
        self.note_table, self.control_table, self.tempos = notes, controls, tempos
        self.most_notes, self.most_controls = len(notes), len(controls)
        if self.note_table.shape[1] != NOTE_COLUMNS or max(len(notes), len(controls)) >= MOST:
            raise ValueError("a table of other columns, or too long")
        if self.control_table.shape[1] != CONTROL_COLUMNS or self.tempos.shape[0] != 2:
            raise ValueError("a table of other columns")
        self.notes = <Note *>&self.note_table[0, 0]
        self.controls = <Control *>&self.control_table[0, 0]

    def read(self, bytes data not None, list tracks not None):
        """Read a file.

        Args:
            data: the file.
            tracks: where each track begins and ends in it.

        Returns:
            The track, tick, kind and data of each meta event but tempos; and tick, track, channel
            and number of each choice of a bank, tick, track, -1, begin and end of each exclusive
            message.

        Raises:
            IndexError: something ends too early, or there is more than the tables hold.
            ValueError: something else is odd.
        """
        cdef const unsigned char *bytes_ = data
        cdef Py_ssize_t begin, stop
        cdef int track = 0
        cdef list metas = [], changes = []
        self.n_notes = self.n_controls = self.n_tempos = self.n_parts = self.length = 0
        self.hanging = self.silences = self.drum_banks = self.tenth = 0
        self.data, self.metas, self.changes = data, metas, changes
        try:
            for begin, stop in tracks:
                if not 0 <= begin <= stop <= len(data):
                    raise IndexError
                self.track(track, bytes_ + begin, bytes_ + stop)
                track += 1
        finally:  # a file is not kept until the next one
            self.data = self.metas = self.changes = None
        if self.hanging and self.silences:
            raise ValueError("what ends all notes may end some that are never released")
        self.sort_parts()
        return metas, changes

    def write(
        self, long long[:, ::1] notes, long long[:, ::1] controls, double[:, ::1] tempos
    ):
        """Write the notes, with the parts as `parts` has them, the controllers and the tempos.

        No note is longer than until its pitch is struck again. Controllers of a channel that only
        other tracks have notes on go to the first part that has it, and are left out where none has.

        Args:
            notes: (5, N) as Song has them.
            controls: (4, C) as Song has them.
            tempos: (K, 2) tick, and beats per minute.

        Returns:
            How many controllers were written, how many notes were cut, and how many had no length.

        Raises:
            ValueError: a table has another size.
        """
        cdef Py_ssize_t at, kept = 0, cut = 0, empty = 0
        cdef long long of
        cdef unsigned int duration
        cdef int first_of[16]
        cdef Note *note = self.notes
        cdef Control *control = self.controls
        cdef long long *onset
        cdef long long *length
        cdef long long *pitch
        cdef long long *velocity
        cdef long long *part
        if notes.shape[0] != 5 or notes.shape[1] != self.n_notes:
            raise ValueError("another number of notes")
        if controls.shape[0] != 4 or controls.shape[1] != self.n_controls:
            raise ValueError("another number of controllers")
        if tempos.shape[0] != self.n_tempos or tempos.shape[1] != 2:
            raise ValueError("another number of tempos")
        if self.n_notes:
            onset, length, pitch = &notes[0, 0], &notes[1, 0], &notes[2, 0]
            velocity, part = &notes[3, 0], &notes[4, 0]
        for at in range(self.n_notes):
            duration = note.limit - note.onset
            if note.duration > duration:
                cut += 1
            else:
                duration = note.duration
            empty += duration == 0
            onset[at], length[at] = note.onset, duration
            pitch[at], velocity[at] = note.what >> 7 & 127, note.what & 127
            part[at] = self.place_of[note.what >> 14]
            note += 1
        self.first_parts(first_of)
        for at in range(self.n_controls):
            of = notes[4, control.note] if control.note >= 0 else first_of[-1 - control.note]
            if of >= 0:
                controls[0, kept] = control.tick
                controls[1, kept] = of
                controls[2, kept] = control.number
                controls[3, kept] = control.value
                kept += 1
            control += 1
        for at in range(self.n_tempos):
            tempos[at, 0] = self.tempos[0, at]
            tempos[at, 1] = 60e6 / self.tempos[1, at]
        return kept, cut, empty

    cdef int sort_parts(self) except -1:
        """Sort the parts by channel; they are few, and nearly in that order."""
        cdef int order[MOST_PARTS]
        cdef int part, place
        for part in range(self.n_parts):
            place = part
            while place and self.part_channel[order[place - 1]] > self.part_channel[part]:
                order[place] = order[place - 1]
                place -= 1
            order[place] = part
        self.parts = []
        for place in range(self.n_parts):
            part = order[place]
            self.place_of[part] = place
            self.parts.append((self.part_channel[part], self.part_program[part]))
        return 0

    cdef void first_parts(self, int *first_of) noexcept:
        """Find the place of the first part on each MIDI channel."""
        cdef int channel, part
        for channel in range(16):
            first_of[channel] = NONE
        for part in range(self.n_parts):
            channel = self.part_channel[part] & 15
            if first_of[channel] == NONE or self.place_of[part] < first_of[channel]:
                first_of[channel] = self.place_of[part]

    cdef int track(self, int track, const unsigned char *at, const unsigned char *stop) except -1:
        cdef long long tick = 0, wait
        cdef int byte, first, second, channel, status = 0
        for channel in range(16):
            self.programs[channel] = 0
            self.waiting[channel] = self.sounding[channel] = 0
            self.last[channel] = NONE
            self.used[channel] = False
        while True:
            # A time, nearly always of one byte or two, and at least a byte of an event.
            if stop - at < 2:
                raise IndexError
            wait = at[0]
            at += 1
            if wait > 127:
                at = number(at - 1, stop, &wait)
                if at >= stop:
                    raise IndexError
            tick += wait
            byte = at[0]
            at += 1
            if byte >= 0xF0:
                at = self.system(at, stop, byte, track, tick)
                if at == stop:
                    break
                continue
            if byte >= 0x80:
                status = byte
                if at >= stop:
                    raise IndexError
                first = at[0]
                at += 1
            else:
                first = byte
            second = 0
            if status & 0xE0 != 0xC0:
                if at >= stop:
                    raise IndexError
                second = at[0]
                at += 1
            if status == 0 or (first | second) > 127:
                raise ValueError("a byte of no event, or a data byte above 127")
            channel = status & 15
            if status < 0xA0:
                if not self.used[channel]:
                    self.begin(channel)
                if status >= 0x90 and second:
                    self.strike(tick, channel, first, second, track)
                else:
                    self.release(tick, channel, first)
            elif status >= 0xE0:
                self.take(tick, channel, BEND, (second << 7 | first) - 8192)
            elif status >= 0xC0:
                if status < 0xD0:
                    self.programs[channel] = first
            elif status >= 0xB0:
                self.choose(tick, track, channel, first, second)
        self.end(tick)
        return 0

    cdef int end(self, long long tick) except -1:
        """End a track."""
        cdef int channel, key
        for channel in range(16):
            if self.sounding[channel]:
                for key in range(channel << 7, (channel + 1) << 7):
                    if self.keys[key].sounds != NONE:
                        self.hang(&self.keys[key], <unsigned int>tick)
            if self.last[channel] != NONE:
                self.assign(channel, self.last[channel])
        self.length = max(self.length, tick)
        return 0

    cdef void begin(self, int channel) noexcept:
        """Let no note have been struck on a channel."""
        cdef int key
        for key in range(channel << 7, (channel + 1) << 7):
            self.keys[key].sounds = self.keys[key].last = self.part_of[key] = NONE
        self.used[channel] = True

    cdef const unsigned char *system(
        self,
        const unsigned char *at,
        const unsigned char *stop,
        int byte,
        int track,
        long long tick,
    ) except NULL:
        """Pass over an event of the system, or keep it; the place after it is `stop` at the end."""
        cdef const unsigned char *bytes_ = self.data
        cdef int kind = 0
        cdef long long length = 0, beat
        if byte == META:
            if at >= stop:
                raise IndexError
            kind = at[0]
            at += 1
        elif byte != EXCLUSIVE and byte != 0xF7:
            raise ValueError("an event that files do not have")
        at = number(at, stop, &length)
        if tick > LAST_TICK or length > stop - at:
            raise IndexError
        if byte == META and kind == END:
            if length or at != stop:
                raise ValueError("an end before the end")
            return stop
        if byte == EXCLUSIVE:
            self.changes.append((tick, track, NONE, at - bytes_, at - bytes_ + length))
        elif byte == META and kind == TEMPO and length >= 3 and (at[0] | at[1] | at[2]):
            beat = at[0] << 16 | at[1] << 8 | at[2]
            self.tempos[0, self.n_tempos] = tick
            self.tempos[1, self.n_tempos] = beat
            self.n_tempos += 1
        elif byte == META and kind in (NAME, MARKER, TEMPO, METER, KEY):
            self.metas.append((track, tick, kind, at[:length]))
        if len(self.metas) > MOST_METAS or len(self.changes) > MOST_METAS:
            raise IndexError
        # Where the track ends without its end, no event follows.
        if at + length == stop:
            raise IndexError
        return at + length

    cdef int choose(self, long long tick, int track, int channel, int number, int value) except -1:
        """Take a controller, and what it does to notes or drums."""
        if number == 120 or 123 <= number <= 127:
            if self.sounding[channel]:
                raise ValueError("all notes are ended at once")
            self.silences += 1
        elif number == 0:
            if len(self.changes) == MOST_METAS:
                raise IndexError
            self.changes.append((tick, track, channel, value, 0))
            self.drum_banks += value == 120 or value == 126 or value == 127
            self.tenth |= channel == 9
        return self.take(tick, channel, number, value)

    cdef inline int take(self, long long tick, int channel, int number, int value) except -1:
        """Take a controller or bend."""
        cdef Control *control = self.controls + self.n_controls
        if self.n_controls >= self.most_controls:
            raise IndexError
        control.tick, control.note = <unsigned int>tick, NONE - channel
        control.number, control.value = number, value
        self.n_controls += 1
        self.waiting[channel] += 1
        return 0

    cdef void assign(self, int channel, int note) noexcept:
        """Give the controllers of a channel that wait for its next note to a note."""
        cdef Control *control = self.controls + self.n_controls
        # As many wait as stand here for the channel, so that none before the first is looked at.
        while self.waiting[channel]:
            control -= 1
            if control.note == NONE - channel:
                control.note = note
                self.waiting[channel] -= 1

    cdef inline int part(self, int track, int channel) except -1:
        """Return the part of the program that a channel has."""
        cdef int *part = &self.part_of[channel << 7 | self.programs[channel]]
        if part[0] == NONE:
            if self.n_parts == MOST_PARTS:
                raise IndexError
            part[0] = self.n_parts
            self.part_channel[part[0]] = track << 4 | channel
            self.part_program[part[0]] = self.programs[channel]
            self.n_parts += 1
        return part[0]

    cdef inline int strike(
        self, long long tick, int channel, int pitch, int velocity, int track
    ) except -1:
        cdef Key *key = &self.keys[channel << 7 | pitch]
        cdef int place = self.n_notes, earlier
        cdef Note *note = self.notes + place
        cdef int part = self.part(track, channel)
        if place >= self.most_notes:
            raise IndexError
        if self.waiting[channel]:
            self.assign(channel, place)
        self.last[channel] = place
        self.sounding[channel] += 1
        note.onset = <unsigned int>tick
        note.what = part << 14 | pitch << 7 | velocity
        note.limit, note.next = NEVER, NONE
        self.n_notes += 1
        if key.last == NONE:
            key.begins = key.first = place
        else:
            self.notes[key.last].next = place
            if self.notes[key.last].onset != note.onset:
                earlier = key.first
                while earlier != place:
                    self.notes[earlier].limit = note.onset
                    earlier = self.notes[earlier].next
                key.first = place
        key.last = place
        if key.sounds == NONE:
            key.sounds = place
        note.ahead = key.sounds
        return 0

    cdef inline void release(self, long long tick, int channel, int pitch) noexcept:
        cdef Key *key = &self.keys[channel << 7 | pitch]
        cdef Note *note
        if key.sounds != NONE:
            note = self.notes + key.sounds
            note.duration = <unsigned int>tick - note.onset
            key.sounds = note.next
            self.sounding[channel] -= 1

    cdef void hang(self, Key *key, unsigned int track_end) noexcept:
        """Match strikes and releases of a key as brackets, since some are never released.

        What is left over hangs; it ends at the next strike, else with the track. The releases are
        those of all other notes, in order.
        """
        cdef Note *notes = self.notes
        cdef int depth = 0, level = 0, hung = 0
        cdef int place = key.sounds, ahead = key.begins, release = key.begins
        cdef unsigned int end
        while place != NONE:
            depth += 1
            notes[place].duration = 0
            place = notes[place].next
        # The level of a note is how many sound when it is struck, itself included. Of each level up
        # to that of the end, the last note hangs; these are in order.
        place = key.begins
        while place != NONE:
            level += 1
            while ahead != <int>notes[place].ahead:
                ahead = notes[ahead].next
                level -= 1
            if level <= depth:
                notes[level - 1].open = place
            notes[place].ahead = notes[place].onset + notes[place].duration
            place = notes[place].next
        place = key.begins
        while place != NONE:
            if hung < depth and place == <int>notes[hung].open:
                hung += 1
                end = track_end if notes[place].next == NONE else notes[notes[place].next].onset
            else:
                end = notes[release].ahead
                release = notes[release].next
            notes[place].duration = end - notes[place].onset
            place = notes[place].next
        self.hanging += depth


cdef const unsigned char *number(
    const unsigned char *at, const unsigned char *stop, long long *value
) except NULL:
    """Read a number of variable length; returns the place after it."""
    value[0] = 0
    for _ in range(4):
        if at >= stop:
            raise IndexError
        value[0] = value[0] << 7 | at[0] & 127
        if at[0] < 128:
            return at + 1
        at += 1
    raise ValueError("a number of more than four bytes")
