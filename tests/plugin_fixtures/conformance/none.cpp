#include "encoder.h"
ANTIPHON_FIXTURE(none)
