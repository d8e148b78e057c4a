"""Help of the Record panel."""

HELP = """\
# Record

Choose a **device** and an **excitation**, look at the preview, press **Start**. The values that stand there are good ones.

- The preview shows one trial against the channel's limits (dashed), how often each level is driven, and the spectrum. What would
  be refused is said below it, with channel, time, value and limit; a cross marks the place.
- **Dry run** asks the instruments as well, and writes to no output.
- **Pause** acts between two plays: drives stand at rest, set-points are held, outputs stay ON. To touch the bench press
  *All outputs safe*, which ends the recording.
- **Stop** ends it; what was measured is kept, and all outputs are made safe.
- **Dropped** counts samples that instrument or line lost; its tooltip says how that is known.
- **Freeze** holds the live plot, to be zoomed by wheel and mouse; the recording goes on.

The same from a terminal: `labctl record STATION --device NAME`, with `--dry-run` and `--pause-file FILE`.
"""
