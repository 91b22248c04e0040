#include <antiphon/plugin/manifest.h>

#include "dinov2.h"

ANTIPHON_PLUGIN(dinov2, "0.1.0") {
  using namespace antiphon::dinov2;
  antiphon::register_encoder<Dinov2>(registrar, "dinov2", "DINOv2 vision transformers (S, B, L)", dinov2_table());
}
