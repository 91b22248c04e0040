#include "fixture.h"
#undef ANTIPHON_PLUGIN_ABI
#define ANTIPHON_PLUGIN_ABI 998
#undef ANTIPHON_TORCH_VERSION
#define ANTIPHON_TORCH_VERSION "1.9.1"
#undef ANTIPHON_COMPILER
#define ANTIPHON_COMPILER "clang 99"
#undef _GLIBCXX_USE_CXX11_ABI
#define _GLIBCXX_USE_CXX11_ABI 0
#undef ANTIPHON_BUILD_TYPE
#define ANTIPHON_BUILD_TYPE "other"
ANTIPHON_PLUGIN(wrong_several, "0.1.0") { register_fixture(registrar, "wrong_several"); }
