"""Files that programs name: where they may lie, arrays read from sources, arrays written to sinks."""
