"""The cache of vision tokens: file format, codecs, index and quota, on disk or in a bucket."""
