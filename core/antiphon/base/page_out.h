// Memory that is not read for a while.
#pragma once
#include <cstddef>

namespace antiphon {

// The system may take the whole pages within [data, data + bytes) for others now rather than when it runs short: those
// of a mapped file are read again if they are wanted. What they hold stays the same, whatever they are. If the
// system cannot do it, nothing happens.
void page_out(const void* data, size_t bytes);

}  // namespace antiphon
