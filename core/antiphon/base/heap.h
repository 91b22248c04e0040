// How this process keeps its heap.
#pragma once

namespace antiphon {

// Keeps freed memory in the process. Activations come and go with every step: without this, glibc gives each large one
// back to the kernel and takes it again, page fault by page fault. Called once, at the start of a program.
void keep_freed_memory();

}  // namespace antiphon
