"""Fuzzing: each reader of files gets changed files without end, and may answer with a good read or an error of ours."""
