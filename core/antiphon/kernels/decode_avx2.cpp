#define ANTIPHON_ISA avx2
#include "decode.inc"
