#include "fixture.h"
void antiphon_fixture_gone();
ANTIPHON_PLUGIN(missing_dependency, "0.1.0") { antiphon_fixture_gone(); }
