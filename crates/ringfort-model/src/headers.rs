//! Headers that belong to the edge: removed on the way in, set by the proxy alone.
