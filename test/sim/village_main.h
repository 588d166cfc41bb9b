/* The part of plait-sim that is about communities. */
#ifndef PLAIT_TEST_VILLAGE_MAIN_H
#define PLAIT_TEST_VILLAGE_MAIN_H

/* `argv[0]` is "village". Returns the exit status. */
int village_main(int argc, char **argv);

#endif
