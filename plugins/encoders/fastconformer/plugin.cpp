#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

#include "fastconformer.h"

ANTIPHON_PLUGIN(fastconformer, "0.1.0") {
  using namespace antiphon::fastconformer;
  antiphon::register_component<antiphon::Encoder, FastConformer>(
      registrar, "fastconformer", "FastConformer speech encoders (Parakeet)", fastconformer_table());
}
