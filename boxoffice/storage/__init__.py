"""Where documents lie: a folder or a bucket, for those who make them, look for them and hand them out."""
