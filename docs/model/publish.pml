/*
 * The publish protocol as a model: one writer that can die at each step, its successor, and lookups beside them.
 * README.md says what each step stands for in the code, what is checked, and what is left out.
 *
 * Sizes: -DCHANGES=n changes of what is wanted, -DDEATHS=n deaths, -DGROW for a change-over to other maps,
 * -DREADERS=n lookups (2 at most), -DSTART=n one of the four states that it can start with. A bug is planted with -DPLANT_….
 */

#ifndef CHANGES
#define CHANGES 2
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef READERS
#define READERS 2
#endif
/* The programs look 8 times. Here no lookup can meet as many moves of its element as it has looks. */
#ifndef LOOKS
#define LOOKS 4
#endif

/* Three keys that share a hash bucket. The first has a backend all the time, the others come and go. */
#define KEYS 3
#define ALWAYS 0
/* The last one has no backends behind the inline one. */
#define HAS_TAIL(k) (k != 2)
/* One element more than keys, so that an element which was freed is used again at the next write. */
#define ELEMENTS 4
#define END 4
#define REGIONS 2
#define NO_REGION 3

/* Set number n of a key is one inline backend, and one in a region. No two sets share a backend. 0 is: no Service there. */
#define BACKEND(k, n) ((k) + 4 * (n))
#define SET_OF(backend) ((backend) / 4)
#define KEY_OF(backend) ((backend) % 4)
#define ABSENT 0
/* Service id and revision. */
#define OWNER(k, id, revision) ((k) + 4 * (id) + 16 * (revision))
#define ID_OF(owner) (((owner) / 4) % 4)
#define REVISION_OF(owner) ((owner) / 16)
/* The last word of a value: where the region begins, and the check word over key and value, without collisions. */
#define LAST(k, owner, backend, region) ((region) + 4 * ((k) + 4 * ((backend) + 32 * (owner))))
#define REGION_OF(last) ((last) % 4)

typedef Element {
  unsigned key : 2;
  unsigned owner : 7;    /* the value's first word */
  unsigned backend : 5;  /* the words of the inline backends */
  unsigned last : 16;    /* the last word */
  unsigned next : 3
};

typedef Region {
  unsigned owner : 7;
  unsigned backend : 5
};

/* One generation of maps. */
typedef Maps {
  Element element[ELEMENTS];
  unsigned head : 3;
  unsigned unused : 4;   /* elements that the kernel's allocator has */
  unsigned filter : 3;   /* the Bloom filter: a bit a key */
  byte epoch;
  Region region[REGIONS]
};

#ifdef GROW
#define GENERATIONS 2
#else
#define GENERATIONS 1
#endif
Maps maps[GENERATIONS];
/* Which generation the program behind each link runs over. */
bit link[2];

/* What is wanted, and what a lookup may find. The writer's own knowledge is in its process. */
byte want[KEYS];
byte newest[KEYS];
byte may[KEYS];          /* sets that were wanted at some moment since the last reconcile ended, as bits */
byte allowed[2];         /* the same for a lookup that runs: at some moment since it began */
byte dials[2];   /* the key that it looks for */
bit runs[2];
bit waited_for[2];       /* by the grace period */

unsigned changes : 3 = CHANGES;
byte next_id[KEYS];  /* promised in the map `control`: it outlives the writer */
bit in_kernel;           /* a system call is not left half done */
bit killed;
bit finished;
bit began;

/* ---- A lookup: lb-ebpf/src/maps/lookup.rs ---- */

#define M maps[over]

#ifdef PLANT_NO_CHECK
#define IS_PROOF(word) true
#else
#define IS_PROOF(word) ((word) == LAST(key, owner, backend, REGION_OF(word)))
#endif
/* The writer's counter is even, and did not move while we looked. */
#ifdef PLANT_NO_EPOCH
#define IS_CERTAIN true
#else
#define IS_CERTAIN (M.epoch == before && !(before & 1))
#endif

/* Without GROW both lookups are alike: one of them is the first. */
#ifdef GROW
#define MAY_BEGIN true
#else
#define MAY_BEGIN (me == 0 || began)
#endif

inline begins(k) {
  d_step {
    MAY_BEGIN ->
    key = k;
    over = link[me];
    dials[me] = key;
    allowed[me] = may[key];
    runs[me] = 1;
    began = 1
  }
}

inline ends() {
  runs[me] = 0;
  waited_for[me] = 0;
  allowed[me] = 0;
  dials[me] = 0;
  over = 0; key = 0; at = 0; owner = 0; backend = 0; last = 0; before = 0; looks = 0; found = 0
}

/* Never another Service's backend, and never one that was in no set of this key while it looked. */
inline judge_backend() {
  assert(KEY_OF(backend) == key);
  assert(allowed[me] & (1 << SET_OF(backend)));
  /* What one lookup has found, no lookup that begins later misses; while all programs run over the same maps. */
  if
  :: SET_OF(backend) == want[key] && link[0] == link[1] -> may[key] = 1 << want[key]
  :: else
  fi
}

inline finds_a_backend(condition) {
  d_step { condition -> judge_backend(); ends() }
}

/* A Service that is there all the time is never missed … */
inline finds_no_service(condition) {
  d_step { condition -> assert(allowed[me] & (1 << ABSENT)); ends() }
}

/* … and never refused. */
inline is_refused(condition) {
  d_step { condition -> assert(allowed[me] & (1 << ABSENT)); ends() }
}

proctype reader(bit me) {
  unsigned over : 1;
  unsigned key : 2;
  unsigned at : 3;
  unsigned owner : 7;
  unsigned backend : 5;
  unsigned last : 16;
  byte before;
  unsigned looks : 3;
  bit found;

  /* The kernel picks the program, and with it the maps. A lookup may begin at any moment. */
  if
  :: begins(0)
  :: begins(1)
  fi;

  /* is_excluded */
  if
  :: M.filter & (1 << key)
  :: finds_no_service(!(M.filter & (1 << key))) goto end
  fi;

  /* service */
  before = M.epoch;
look:
  found = 0;
  at = M.head;
walk:
  if
  :: at == END -> goto looked
  :: at != END && M.element[at].key == key
  :: at != END && M.element[at].key != key -> at = M.element[at].next; goto walk
  fi;
  /* look: copied word by word, and proven */
  owner = M.element[at].owner;
  backend = M.element[at].backend;
  if
  :: d_step { IS_PROOF(M.element[at].last) -> last = M.element[at].last; at = 0; before = 0; looks = 0; found = 0 }
    goto proven
  :: d_step { !IS_PROOF(M.element[at].last) -> found = 1; at = 0; owner = 0; backend = 0 }
  fi;
looked:
  if
  :: finds_no_service(IS_CERTAIN && !found) goto end
  :: is_refused(IS_CERTAIN && found) goto end
  :: d_step { !IS_CERTAIN && looks < LOOKS - 1 -> before = M.epoch; looks++ } goto look
  :: finds_no_service(!IS_CERTAIN && looks == LOOKS - 1 && !found) goto end
  :: is_refused(!IS_CERTAIN && looks == LOOKS - 1 && found) goto end
  fi;

proven:
  /* backend: by chance the inline one, or the one in the region */
  if
  :: finds_a_backend(true) goto end
  :: REGION_OF(last) != NO_REGION && M.region[REGION_OF(last)].owner == owner
  :: is_refused(REGION_OF(last) != NO_REGION && M.region[REGION_OF(last)].owner != owner) goto end
  fi;
  d_step { backend = M.region[REGION_OF(last)].backend; judge_backend(); ends() }
end:
  skip
}

#undef M

/* ---- The writer ---- */

/* Regions, as the plan knows them: plan/region.rs, and Mirror::in_grace. */
#define FREE 0
#define TAKEN 1
#define GIVEN_UP 2
#define IN_GRACE 3

#define M maps[current]

/* Why an element is written although its set is as wanted. */
#define NO 0
#define HAS_ROOM_NOW 1
#define HANDS_OVER 2

/* A change of what is wanted. Lookups that run may find the old and the new. */
inline wants(k, n) {
  changes--;
  want[k] = n;
  may[k] = may[k] | (1 << n);
  if
  :: runs[0] && dials[0] == k -> allowed[0] = allowed[0] | (1 << n)
  :: else
  fi;
  if
  :: runs[1] && dials[1] == k -> allowed[1] = allowed[1] | (1 << n)
  :: else
  fi
}

inline wants_a_new_set(k) {
  d_step {
    newest[k] = newest[k] + 1;
    wants(k, newest[k]);
    todo = k
  }
}

inline wants_it_gone(k) {
  d_step {
    wants(k, ABSENT);
    todo = k
  }
}

/* Any change of one key. An address can change hands without a moment between. */
inline some_change() {
  if
  :: wants_a_new_set(ALWAYS)
  :: want[1] != ABSENT -> wants_a_new_set(1)
  :: want[1] != ABSENT -> again = HANDS_OVER; wants_a_new_set(1)
  :: want[1] != ABSENT -> wants_it_gone(1)
  :: want[1] == ABSENT -> wants_a_new_set(1)
  :: want[2] != ABSENT -> wants_a_new_set(2)
  :: want[2] != ABSENT -> wants_it_gone(2)
  :: want[2] == ABSENT -> wants_a_new_set(2)
  fi
}

/* Mirror::allocate: the lowest that is free. */
inline allocate() {
  if
  :: HAS_TAIL(todo) && state[0] == FREE -> fresh = 0
  :: HAS_TAIL(todo) && state[0] != FREE && state[1] == FREE -> fresh = 1
  :: else -> fresh = NO_REGION
  fi
}

inline next_owner() {
  if
  :: held_owner[todo] != 0 && again != HANDS_OVER ->
    owner = OWNER(todo, ID_OF(held_owner[todo]), REVISION_OF(held_owner[todo]) + 1)
  :: else ->
    next_id[todo] = next_id[todo] + 1;
    owner = OWNER(todo, next_id[todo], 1)
  fi;
  /* The model has room for all numbers that it uses. */
  assert(next_id[todo] < 4 && REVISION_OF(owner) < 7 && newest[todo] < 8);
  again = NO
}

/* MapOp::Fill: two words of an array element, which is not one write. */
inline fill() {
  if
  :: fresh != NO_REGION ->
    d_step {
      in_kernel = 1;
      M.region[fresh].owner = owner
    }
    d_step {
      M.region[fresh].backend = BACKEND(todo, want[todo]);
      in_kernel = 0
    }
  :: else
  fi
}

/* MapOp::Admit */
inline admit() {
  if
  :: !(M.filter & (1 << todo)) -> M.filter = M.filter | (1 << todo)
  :: else
  fi
}

/* EpochPage::while_odd, its two ends. */
inline odd() {
  M.epoch = (M.epoch + 1) | 1
}

inline even() {
  M.epoch = M.epoch + 1
}

/* Where the element of a key is, and the one before it. */
inline find(k) {
  at = M.head;
  prior = END;
  do
  :: at == END -> break
  :: at != END && M.element[at].key == k -> break
  :: else -> prior = at; at = M.element[at].next
  od
}

/* hlist_nulls_del_rcu, and back to the allocator: what the element holds stays, its link too. */
inline unlink() {
  if
  :: prior == END -> M.head = M.element[at].next
  :: else -> M.element[prior].next = M.element[at].next
  fi;
  M.unused = M.unused | (1 << at)
}

/* Of those that were never used one is as good as the other: the first. */
#define IS_NEW(e) (M.element[e].owner == 0)
inline take(e, is_another_new) {
  d_step {
    (M.unused & (1 << e)) && !(IS_NEW(e) && is_another_new) ->
    in_kernel = 1;
    fresh_element = e;
    M.unused = M.unused & ~(1 << e);
    M.element[e].key = todo
  }
}

/* htab_map_update_elem without preallocation: another element, written, put in front, and the old one taken out. */
inline update() {
  if
  :: take(0, false)
  :: take(1, IS_NEW(0))
  :: take(2, IS_NEW(1))
  :: take(3, IS_NEW(2))
  fi;
  M.element[fresh_element].owner = owner;
  M.element[fresh_element].backend = BACKEND(todo, want[todo]);
  M.element[fresh_element].last = LAST(todo, owner, BACKEND(todo, want[todo]), fresh);
  M.element[fresh_element].next = M.head;
  d_step {
    find(todo);
    M.head = fresh_element
  }
  d_step {
    if
    :: at == END
    :: else ->
      if
      :: prior == END -> prior = fresh_element
      :: else
      fi;
      unlink()
    fi;
    fresh_element = 0; at = 0; prior = 0;
    in_kernel = 0
  }
}

/* Mirror::set: the region behind the old element is given up. */
inline give_up_region() {
  if
  :: held_owner[todo] != 0 && held_region[todo] != NO_REGION -> state[held_region[todo]] = GIVEN_UP
  :: else
  fi
}

/* Mirror::publication, and Reconciler::write. */
inline publish() {
  d_step {
    allocate();
    next_owner()
  }
#ifndef PLANT_FILTER_AFTER
  admit();
#endif
#ifndef PLANT_PUBLISH_FIRST
  fill();
#endif
  odd();
  update();
#ifdef PLANT_PUBLISH_FIRST
  fill();
#endif
#ifdef PLANT_FILTER_AFTER
  admit();
#endif
  d_step {
    even();
    give_up_region();
    held_owner[todo] = owner;
    held_set[todo] = want[todo];
    held_region[todo] = fresh;
    if
    :: fresh != NO_REGION -> state[fresh] = TAKEN
    :: else
    fi;
    owner = 0; fresh = 0
  }
}

/* Mirror::removal; MapOp::Remove */
inline remove() {
  odd();
  d_step {
    find(todo);
    unlink();
    at = 0; prior = 0
  }
  d_step {
    even();
    give_up_region();
    held_owner[todo] = 0; held_set[todo] = ABSENT; held_region[todo] = 0
  }
}

/* Reconciler::bring_one */
inline bring() {
  if
  :: held_set[todo] == want[todo] && again == NO
  :: (held_set[todo] != want[todo] || again != NO) && want[todo] != ABSENT -> publish()
  :: held_set[todo] != want[todo] && want[todo] == ABSENT -> remove()
  fi
}

/* A reconcile has ended: what was wanted before it is not to be found by lookups that begin now. */
inline reconciled(k) {
  may[k] = 1 << want[k]
}

/* GracePeriods::start: for all that was given up before. It waits for the programs that run now. */
inline start_grace() {
  if
  :: !grace && (state[0] == GIVEN_UP || state[1] == GIVEN_UP) ->
    grace = 1;
#ifndef PLANT_NO_GRACE
    waited_for[0] = runs[0];
    waited_for[1] = runs[1];
#endif
    if
    :: state[0] == GIVEN_UP -> state[0] = IN_GRACE
    :: else
    fi;
    if
    :: state[1] == GIVEN_UP -> state[1] = IN_GRACE
    :: else
    fi
  :: else
  fi
}

/* Mirror::release */
inline grace_passed() {
  d_step {
    grace && !waited_for[0] && !waited_for[1] ->
    grace = 0;
    if
    :: state[0] == IN_GRACE -> state[0] = FREE
    :: else
    fi;
    if
    :: state[1] == IN_GRACE -> state[1] = FREE
    :: else
    fi;
    start_grace()
  }
}

/* Whether a set that lacks its region could have one now. */
#define LACKS(k) (HAS_TAIL(k) && held_owner[k] != 0 && held_region[k] == NO_REGION)
#define HAS_ROOM (state[0] == FREE || state[1] == FREE)

/* Reads the maps back into the mirror: Maps::dump and Mirror::adopt. The writer alone writes, so it is one step. */
inline read_back() {
  held_owner[0] = 0; held_owner[1] = 0; held_owner[2] = 0;
  held_set[0] = 0; held_set[1] = 0; held_set[2] = 0;
  held_region[0] = 0; held_region[1] = 0; held_region[2] = 0;
  /* Mirror::raise_fence: a region that no element has may still be read. */
#ifdef PLANT_NO_FENCE
  state[0] = FREE; state[1] = FREE;
#else
  state[0] = GIVEN_UP; state[1] = GIVEN_UP;
#endif
  at = M.head;
  do
  :: at == END -> break
  :: else ->
    todo = M.element[at].key;
    assert(M.element[at].last == LAST(todo, M.element[at].owner, M.element[at].backend, REGION_OF(M.element[at].last)));
    assert(held_owner[todo] == 0);
    held_owner[todo] = M.element[at].owner;
    held_set[todo] = SET_OF(M.element[at].backend);
    held_region[todo] = REGION_OF(M.element[at].last);
    if
    :: held_region[todo] != NO_REGION -> state[held_region[todo]] = TAKEN
    :: else
    fi;
    at = M.element[at].next
  od;
  at = 0; todo = 0
}

/* Bpf::repair: the bits of what is there, and no others. */
inline repair_filter() {
  M.filter = (held_owner[0] != 0) + 2 * (held_owner[1] != 0) + 4 * (held_owner[2] != 0)
}

/* After a pass everything is there as wanted, and nothing else. */
inline check_all() {
  todo = 0;
  do
  :: todo == KEYS -> break
  :: else ->
    find(todo);
    if
    :: want[todo] == ABSENT -> assert(at == END)
    :: else ->
      assert(at != END);
      assert(SET_OF(M.element[at].backend) == want[todo]);
      assert(M.filter & (1 << todo));
      if
      :: REGION_OF(M.element[at].last) != NO_REGION ->
        assert(M.region[REGION_OF(M.element[at].last)].owner == M.element[at].owner);
        assert(M.region[REGION_OF(M.element[at].last)].backend == M.element[at].backend)
      :: else
      fi
    fi;
    todo++
  od;
  todo = 0; at = 0; prior = 0
}

/* A map set that is no longer used is as if it had never been. */
inline wipe(which) {
  at = 0;
  do
  :: at == ELEMENTS -> break
  :: else ->
    maps[which].element[at].key = 0;
    maps[which].element[at].owner = 0;
    maps[which].element[at].backend = 0;
    maps[which].element[at].last = 0;
    maps[which].element[at].next = 0;
    at++
  od;
  at = 0;
  maps[which].region[0].owner = 0; maps[which].region[0].backend = 0;
  maps[which].region[1].owner = 0; maps[which].region[1].backend = 0;
  maps[which].head = END;
  maps[which].unused = 15;
  maps[which].filter = 0;
  maps[which].epoch = 0
}

/* An element as one write left it, with its region. No lookup runs over these maps yet. */
inline insert(which, k, key_owner, n) {
  at = 0;
  do
  :: maps[which].unused & (1 << at) -> break
  :: else -> at++
  od;
  maps[which].unused = maps[which].unused & ~(1 << at);
  maps[which].element[at].key = k;
  maps[which].element[at].owner = key_owner;
  maps[which].element[at].backend = BACKEND(k, n);
  if
  :: HAS_TAIL(k) ->
    maps[which].element[at].last = LAST(k, key_owner, BACKEND(k, n), k);
    maps[which].region[k].owner = key_owner;
    maps[which].region[k].backend = BACKEND(k, n)
  :: else -> maps[which].element[at].last = LAST(k, key_owner, BACKEND(k, n), NO_REGION)
  fi;
  maps[which].element[at].next = maps[which].head;
  maps[which].head = at;
  maps[which].filter = maps[which].filter | (1 << k);
  at = 0
}

#ifdef GROW
/* Lifecycle::fill: other maps get all that is wanted. Ids go on, and revisions. */
inline fill_other_maps() {
  d_step {
    wipe(1);
    todo = 0;
    do
    :: todo == KEYS -> break
    :: todo < KEYS && held_owner[todo] == 0 -> todo++
    :: todo < KEYS && held_owner[todo] != 0 ->
      owner = OWNER(todo, ID_OF(held_owner[todo]), REVISION_OF(held_owner[todo]) + 1);
      insert(1, todo, owner, want[todo]);
      todo++
    od;
    todo = 0; owner = 0
  }
}
#endif

proctype writer() {
  /* Mirror */
  byte held_owner[KEYS];
  byte held_set[KEYS];
  byte held_region[KEYS];
  byte state[REGIONS];
  bit grace;
  unsigned current : 1;
  /* What it is at. */
  unsigned todo : 2;
  unsigned again : 2;
  unsigned owner : 7;
  unsigned fresh : 2;
  unsigned fresh_element : 3;
  unsigned at : 3;
  unsigned prior : 3;
  bit starts;

  d_step {
    read_back();
    state[0] = (state[0] == TAKEN -> TAKEN : FREE);
    state[1] = (state[1] == TAKEN -> TAKEN : FREE)
  }
life:
  {
    if
    :: !starts -> goto idle
    :: starts
    fi;
    /* A repair that fails is left to the next audit. */
    if
    :: repair_filter()
    :: skip
    fi;
    /* What is wanted may have changed while no writer ran. */
    if
    :: skip
    :: changes -> some_change()
    fi;
    d_step { todo = 0; again = NO; start_grace() }

bring_one:
    bring();
    if
    :: starts && todo < KEYS - 1 -> todo++; goto bring_one
    :: starts && todo == KEYS - 1 ->
      /* Links::put. A link that is there already does not move. */
      if
      :: link[0] == current && link[1] == current
      :: link[0] != current || link[1] != current -> link[0] = current; link[1] = current
      fi;
      d_step {
        check_all();
        starts = 0;
        reconciled(0); reconciled(1); reconciled(2);
        start_grace()
      }
    :: !starts -> d_step { reconciled(todo); todo = 0; start_grace() }
    fi;

idle:
    if
    :: changes -> some_change(); goto bring_one
    :: LACKS(0) && HAS_ROOM -> d_step { todo = 0; again = HAS_ROOM_NOW } goto bring_one
    :: LACKS(1) && HAS_ROOM -> d_step { todo = 1; again = HAS_ROOM_NOW } goto bring_one
    :: grace_passed(); goto idle
    /* The audit. */
    :: M.filter != (held_owner[0] != 0) + 2 * (held_owner[1] != 0) + 4 * (held_owner[2] != 0) ->
      repair_filter();
      goto idle
#ifdef GROW
    /* A change-over to other maps. Nothing is written to those in use meanwhile. */
    :: current == 0 ->
#ifndef PLANT_LINK_FIRST
      fill_other_maps();
#endif
      link[0] = 1;
      link[1] = 1;
#ifdef PLANT_LINK_FIRST
      fill_other_maps();
#endif
      d_step {
        current = 1;
        grace = 0; waited_for[0] = 0; waited_for[1] = 0;
        read_back();
        if
        :: state[0] == GIVEN_UP -> state[0] = FREE
        :: else
        fi;
        if
        :: state[1] == GIVEN_UP -> state[1] = FREE
        :: else
        fi
      }
      goto idle
#endif
    :: !changes && !grace && !((LACKS(0) || LACKS(1)) && HAS_ROOM) -> skip
    fi;
    d_step { check_all(); finished = 1 }
  } unless {
    /* Datapath::adopt. The link that moves first says which maps are the newer ones. EpochPage::settle. */
    d_step {
      killed && !finished ->
      killed = 0;
      grace = 0; waited_for[0] = 0; waited_for[1] = 0;
      again = NO; owner = 0; fresh = 0; fresh_element = 0; prior = 0;
      current = link[0];
      M.epoch = M.epoch + (M.epoch & 1);
      read_back();
      starts = 1
    }
    goto life
  }
}

/* A signal, at any moment: the system call that it meets comes to its end. */
proctype killer() {
  unsigned deaths : 2 = DEATHS;
  do
  :: d_step { deaths && !in_kernel && !killed && !finished -> deaths--; killed = 1 }
  :: finished -> break
  od;
  deaths = 0
}

/* All of them, or one alone. */
#ifdef START
#define STARTS(n) (START == n)
#else
#define STARTS(n) true
#endif

inline starts_with(k) {
  insert(0, k, OWNER(k, 1, 1), 1);
  want[k] = 1
}

init {
  unsigned at : 3;
  unsigned all : 2;
  d_step {
    wipe(0);
#ifdef GROW
    wipe(1);
#endif
    next_id[0] = 1; next_id[1] = 1; next_id[2] = 1;
    newest[0] = 1; newest[1] = 1; newest[2] = 1
  }
  /* Which keys there are, and their places in the bucket. */
  if
  :: d_step { STARTS(1) -> starts_with(2); starts_with(1); starts_with(0) }
  :: d_step { STARTS(2) -> starts_with(2); starts_with(0) }
  :: d_step { STARTS(3) -> starts_with(0); starts_with(1); starts_with(2) }
  :: d_step { STARTS(4) -> starts_with(0); starts_with(1) }
  fi;
  atomic {
    may[0] = 1 << want[0];
    may[1] = 1 << want[1];
    may[2] = 1 << want[2];
    run writer();
    run killer();
    run reader(0);
#if READERS > 1
    run reader(1)
#endif
  }
}
