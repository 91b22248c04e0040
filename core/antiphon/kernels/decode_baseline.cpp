#define ANTIPHON_ISA baseline
#include "decode.inc"
