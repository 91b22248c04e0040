// What `antiphon inspect` prints without a name. Links neither LibTorch nor CLI11.
#pragma once

namespace antiphon::apps {

// Every plugin that is found, or is refused, by its sidecar: none is loaded. The exit code, 0.
int list_plugins(bool json);

}  // namespace antiphon::apps
