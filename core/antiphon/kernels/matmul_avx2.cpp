#define ANTIPHON_ISA avx2
#include "matmul.inc"
