#define ANTIPHON_ISA avx512
#include "matmul.inc"
