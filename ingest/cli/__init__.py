"""The commands of ingest; each module defines the commands it is named after."""
