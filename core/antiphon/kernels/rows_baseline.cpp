#define ANTIPHON_ISA baseline
#include "rows.inc"
