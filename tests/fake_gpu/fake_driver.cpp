// A libcuda.so.1 for the program to find: it only looks whether there is one.
int ferula_fake_driver() { return 0; }
