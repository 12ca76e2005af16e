# cython: language_level=3, boundscheck=True, wraparound=False
"""The events of a sound MIDI file to tables, compiled.

The bytes are a stranger's: every index into the file and the tables is looked at, and one outside is
an IndexError. Those into `keys` and `programs` are made of four and seven bits.
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
    ONSET, DURATION, PITCH, VELOCITY, PART_OF, NEXT, LIMIT

cdef enum:
    SOUNDS, FIRST, LAST, PART

cdef enum:
    N_NOTES, N_PARTS, N_CONTROLS, N_METAS, END_TICK, N_CUT, N_BANKS, N_SILENCES, N_EXCLUSIVE

cdef enum:
    NONE = -1
    KEYS = 2048
    BEND = 128
    META = 0xFF
    NAME = 0x03
    MARKER = 0x06
    END = 0x2F
    TEMPO = 0x51
    METER = 0x58
    KEY = 0x59

cdef long long NEVER = 1 << 62
cdef long long LAST_TICK = 1 << 31


cdef class Scan:
    """Reads one file.

    Args:
        data: the file.
        notes: (7, N) is filled with onset, duration, pitch, velocity and part of each note, the
            place of the next note of its key, and when one is struck that is later than itself.
        parts: (2, P) with track × 16 + channel and program, in the order of first strikes.
        controls: (4, C) with tick, part, number and value of each controller; bends have the number
            128. The part is that of the next note on the channel in the track, else of the last; -1
            less the channel where there is none.
        metas: (5, M) with track, tick, kind, and where its data begin and end in the file.
        found: (9,) with how many notes, parts, controls and metas there are, where the longest
            track ends, how many notes are cut where their pitch is struck again, how many of the
            controllers choose a bank and how many end all notes, and how many exclusive messages
            there are; to be 0 beforehand.
    """

    cdef const unsigned char[::1] data
    cdef long long[:, ::1] notes
    cdef long long[:, ::1] parts
    cdef long long[:, ::1] controls
    cdef long long[:, ::1] metas
    cdef long long[::1] found
    # Of each pitch on each channel of a track the first note that still sounds, and the first and
    # the last of those struck last at one time; of each program on each channel its part.
    cdef long long keys[4][KEYS]
    cdef long long programs[16]
    # Of each channel the part of the last note, how many controllers wait for the next one, how
    # many notes sound, and whether its `keys` are of this track yet: most tracks use one channel.
    cdef long long last[16]
    cdef long long waiting[16]
    cdef long long sounding[16]
    cdef bint used[16]
    cdef Py_ssize_t position
    cdef Py_ssize_t stop

    def __init__(self, data, notes, parts, controls, metas, found):
        self.data, self.notes, self.parts = data, notes, parts
        self.controls, self.metas, self.found = controls, metas, found

    def read(self, list tracks):
        """Read tracks.

        Args:
            tracks: where each begins and ends in the file.

        Raises:
            IndexError: something ends too early, or there is more than the tables hold.
            ValueError: something else is odd.
        """
        cdef int track
        for track in range(len(tracks)):
            self.position, self.stop = tracks[track]
            self.track(track)
        self.cut()

    cdef inline int byte(self) except -1:
        if self.position >= self.stop:
            raise IndexError
        self.position += 1
        return self.data[self.position - 1]

    cdef inline long long number(self) except -1:
        """Return a number of variable length."""
        cdef long long value = 0
        cdef int byte
        for _ in range(4):
            byte = self.byte()
            value = value << 7 | byte & 127
            if byte < 128:
                return value
        raise ValueError("a number of more than four bytes")

    cdef int track(self, int track) except -1:
        cdef long long tick = 0
        cdef int byte, first, second, channel, status = 0
        for channel in range(16):
            self.programs[channel] = self.waiting[channel] = self.sounding[channel] = 0
            self.last[channel] = NONE
            self.used[channel] = False
        while True:
            tick += self.number()
            byte = self.byte()
            if byte >= 0xF0:
                if self.system(byte, track, tick):
                    break
                continue
            if byte >= 0x80:
                status = byte
                first = self.byte()
            else:
                first = byte
            second = 0 if status & 0xE0 == 0xC0 else self.byte()
            if status == 0 or first > 127 or second > 127:
                raise ValueError("a byte of no event, or a data byte above 127")
            channel = status & 15
            if status < 0xA0:
                if not self.used[channel]:
                    self.begin(channel)
                if status >= 0x90 and second:
                    self.strike(tick, channel << 7 | first, second, self.part(track, channel))
                else:
                    self.release(tick, channel << 7 | first)
            elif status >= 0xE0:
                self.control(tick, channel, BEND, (second << 7 | first) - 8192)
            elif status >= 0xC0:
                if status < 0xD0:
                    self.programs[channel] = first
            elif status >= 0xB0:
                self.control(tick, channel, first, second)
        for channel in range(16):
            if self.sounding[channel]:
                raise ValueError("a note is never released")
            if self.last[channel] != NONE:
                self.assign(channel, self.last[channel])
        self.found[END_TICK] = max(self.found[END_TICK], tick)
        return 0

    cdef void begin(self, int channel) noexcept:
        """Let no note have been struck on a channel."""
        cdef int key
        for key in range(channel << 7, (channel + 1) << 7):
            self.keys[SOUNDS][key] = self.keys[LAST][key] = self.keys[PART][key] = NONE
        self.used[channel] = True

    cdef int system(self, int byte, int track, long long tick) except -1:
        """Pass over an event of the system, or keep it; returns whether the track ends."""
        cdef int kind = 0
        cdef long long length
        if byte == META:
            kind = self.byte()
        elif byte != 0xF0 and byte != 0xF7:
            raise ValueError("an event that files do not have")
        else:
            self.found[N_EXCLUSIVE] += 1
        length = self.number()
        if tick > LAST_TICK or length > self.stop - self.position:
            raise IndexError
        if byte == META and kind == END:
            if length or self.position != self.stop:
                raise ValueError("an end before the end")
            return True
        if byte == META and kind in (NAME, MARKER, TEMPO, METER, KEY):
            self.metas[0, self.found[N_METAS]] = track
            self.metas[1, self.found[N_METAS]] = tick
            self.metas[2, self.found[N_METAS]] = kind
            self.metas[3, self.found[N_METAS]] = self.position
            self.metas[4, self.found[N_METAS]] = self.position + length
            self.found[N_METAS] += 1
        self.position += length
        return False

    cdef inline int control(
        self, long long tick, int channel, int number, int value
    ) except -1:
        cdef long long place = self.found[N_CONTROLS]
        if number == 120 or 123 <= number <= 127:
            if self.sounding[channel]:
                raise ValueError("all notes are ended at once")
            self.found[N_SILENCES] += 1
        elif number == 0:
            self.found[N_BANKS] += 1
        self.controls[0, place] = tick
        self.controls[1, place] = NONE - channel
        self.controls[2, place] = number
        self.controls[3, place] = value
        self.found[N_CONTROLS] += 1
        self.waiting[channel] += 1
        return 0

    cdef int assign(self, int channel, long long part) except -1:
        """Give the controllers of a channel that wait for its next note to a part."""
        cdef long long place = self.found[N_CONTROLS]
        while self.waiting[channel]:
            place -= 1
            if self.controls[1, place] == NONE - channel:
                self.controls[1, place] = part
                self.waiting[channel] -= 1
        return 0

    cdef inline long long part(self, int track, int channel) except -1:
        """Return the part of the program that a channel has."""
        cdef long long *part = &self.keys[PART][channel << 7 | self.programs[channel]]
        if part[0] == NONE:
            part[0] = self.found[N_PARTS]
            self.parts[0, part[0]] = track << 4 | channel
            self.parts[1, part[0]] = self.programs[channel]
            self.found[N_PARTS] += 1
        return part[0]

    cdef inline int strike(
        self, long long tick, int key, int velocity, long long part
    ) except -1:
        cdef long long note = self.found[N_NOTES]
        cdef long long last = self.keys[LAST][key]
        cdef long long earlier
        if self.waiting[key >> 7]:
            self.assign(key >> 7, part)
        self.last[key >> 7] = part
        self.sounding[key >> 7] += 1
        self.notes[ONSET, note] = tick
        self.notes[PITCH, note] = key & 127
        self.notes[VELOCITY, note] = velocity
        self.notes[PART_OF, note] = part
        self.notes[NEXT, note] = NONE
        self.notes[LIMIT, note] = NEVER
        self.found[N_NOTES] += 1
        if last == NONE:
            self.keys[FIRST][key] = note
        else:
            self.notes[NEXT, last] = note
            if self.notes[ONSET, last] < tick:
                earlier = self.keys[FIRST][key]
                while earlier != note:
                    self.notes[LIMIT, earlier] = tick
                    earlier = self.notes[NEXT, earlier]
                self.keys[FIRST][key] = note
        self.keys[LAST][key] = note
        if self.keys[SOUNDS][key] == NONE:
            self.keys[SOUNDS][key] = note
        return 0

    cdef inline int release(self, long long tick, int key) except -1:
        cdef long long note = self.keys[SOUNDS][key]
        if note != NONE:
            self.notes[DURATION, note] = tick - self.notes[ONSET, note]
            self.keys[SOUNDS][key] = self.notes[NEXT, note]
            self.sounding[key >> 7] -= 1
        return 0

    cdef int cut(self) except -1:
        cdef long long note, most
        for note in range(self.found[N_NOTES]):
            most = self.notes[LIMIT, note] - self.notes[ONSET, note]
            if self.notes[DURATION, note] > most:
                self.notes[DURATION, note] = most
                self.found[N_CUT] += 1
        return 0
