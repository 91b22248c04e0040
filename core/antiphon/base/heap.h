// Heap settings of this process.
#pragma once

namespace antiphon {

// Keeps freed memory in the process. Activations come and go with every step: without this, glibc returns each large
// one to the kernel and allocates it again, page fault by page fault. Called once, at the start of a program.
void keep_freed_memory();

}  // namespace antiphon
