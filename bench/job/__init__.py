"""The job of the part *deploy*, as somebody who uses each tool would write it."""
