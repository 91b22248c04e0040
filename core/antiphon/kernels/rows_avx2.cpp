#define ANTIPHON_ISA avx2
#include "rows.inc"
