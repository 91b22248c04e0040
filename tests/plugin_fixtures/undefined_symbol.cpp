#include "fixture.h"
namespace elsewhere {
void function_of_nobody(int);
}
ANTIPHON_PLUGIN(undefined_symbol, "0.1.0") { elsewhere::function_of_nobody(1); }
