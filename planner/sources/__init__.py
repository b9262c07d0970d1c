"""Where pictures come from: files, folders, arrays, generators and streams, one frame at a time."""
