//! Every AWS action the scanner may call, as data.
