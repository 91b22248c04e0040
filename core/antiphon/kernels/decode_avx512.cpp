#define ANTIPHON_ISA avx512
#include "decode.inc"
