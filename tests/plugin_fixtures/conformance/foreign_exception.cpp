#include "encoder.h"
ANTIPHON_FIXTURE(foreign_exception)
