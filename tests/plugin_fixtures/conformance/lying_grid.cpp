#include "encoder.h"
ANTIPHON_FIXTURE(lying_grid)
