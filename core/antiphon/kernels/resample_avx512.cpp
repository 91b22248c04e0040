#define ANTIPHON_ISA avx512
#include "resample.inc"
