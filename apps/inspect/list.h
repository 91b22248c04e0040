// What `antiphon inspect` prints without a name. Links neither LibTorch nor CLI11.
#pragma once

namespace antiphon::apps {

// Every plugin that is found or refused, read from its sidecar: none is loaded. Returns the exit code, 0.
int list_plugins(bool json);

}  // namespace antiphon::apps
