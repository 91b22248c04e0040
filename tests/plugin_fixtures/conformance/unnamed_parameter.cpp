#include "encoder.h"
ANTIPHON_FIXTURE(unnamed_parameter)
