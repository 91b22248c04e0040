#define ANTIPHON_ISA baseline
#include "matmul.inc"
