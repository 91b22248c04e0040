#include "encoder.h"
ANTIPHON_FIXTURE(shared_state)
