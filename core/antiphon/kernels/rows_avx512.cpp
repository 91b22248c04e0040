#define ANTIPHON_ISA avx512
#include "rows.inc"
