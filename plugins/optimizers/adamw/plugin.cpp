#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

#include "adamw.h"

ANTIPHON_PLUGIN(adamw, "0.1.0") {
  using namespace antiphon::adamw;
  antiphon::register_component<antiphon::UpdateRule, AdamW>(registrar, "adamw", "AdamW (Loshchilov & Hutter 2019)",
                                                            adamw_table());
}
