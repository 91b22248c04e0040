#define ANTIPHON_ISA baseline
#include "resample.inc"
