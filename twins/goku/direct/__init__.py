"""Our best configuration where all states are seen through a linear map: no encoder, no decoder, no shooting."""
