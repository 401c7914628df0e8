"""Vision tokens on disk or in a bucket: keys, codecs, quota."""
