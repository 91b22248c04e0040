#include "encoder.h"
ANTIPHON_FIXTURE(global_generator)
