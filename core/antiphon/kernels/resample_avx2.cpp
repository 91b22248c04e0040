#define ANTIPHON_ISA avx2
#include "resample.inc"
