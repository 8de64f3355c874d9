// Passes of the case's network over examples: their losses, and the gradient.
#pragma once
#ifdef SWEEP_CONVOLUTIONS
#include "convolutional.h"
#elif defined(SWEEP_NORM)
#include "residual.h"
#else
#include "dense.h"
#endif
