#include "encoder.h"
ANTIPHON_FIXTURE(cut_gradient)
