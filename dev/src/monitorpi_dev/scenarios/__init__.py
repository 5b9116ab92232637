"""Generated traffic with a known answer: floods to be found, and hard benign hours to leave alone.

Theory of operation. A scenario is a list of activities on a made-up LAN. Each second every activity
adds frames to a second, which becomes the window message that capture would have sent. Everything
random comes from one seed, so that a scenario is the same everywhere. Frames are counted, never
made: nothing goes on a wire.
"""
