// A plugin without a fault.
#include <antiphon/plugin/manifest.h>

#include "encoder.h"

ANTIPHON_PLUGIN(none, "0.1.0") {
  using namespace antiphon::fixture::encoder;
  antiphon::register_component<antiphon::Encoder, RowEncoder<Fault::none>>(registrar, "none", "a fixture",
                                                                           options_table());
}
