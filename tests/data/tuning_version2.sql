-- A database of schema version 2: that of version 1 as commit c2f71d1 brought it up to date.
BEGIN TRANSACTION;
CREATE TABLE "devices" (
   "id" INTEGER PRIMARY KEY,
   "key" TEXT NOT NULL,
   "name" TEXT NOT NULL,
   "text" TEXT NOT NULL,
   "facts" TEXT NOT NULL
, "checksum" INTEGER NOT NULL DEFAULT 0);
INSERT INTO "devices" VALUES(1,'2a1fab1633b4cb2873ebf964b9542dc75feec1dc7d41aa24a1b6a9d7256160d0','cpu','cpu model x','{"cores":2,"features":["avx2","fma"]}',4110768355);
CREATE TABLE "hosts" (
   "id" INTEGER PRIMARY KEY,
   "key" TEXT NOT NULL,
   "fingerprint" TEXT NOT NULL,
   "cpu" TEXT NOT NULL,
   "cpu_flags" TEXT NOT NULL,
   "system" TEXT NOT NULL,
   "checksum" INTEGER NOT NULL
);
INSERT INTO "hosts" VALUES(1,'6a3cf5192354f71615ac51034b3e97c20eda99643fcaf5bbe6d41ad59bd12167','','','','',1984777099);
CREATE TABLE "records" (
   "id" INTEGER PRIMARY KEY,
   "trial" TEXT NOT NULL,
   "task_id" INTEGER NOT NULL REFERENCES "tasks"("id"),
   "run_id" INTEGER NOT NULL REFERENCES "runs"("id"),
   "sketch_id" INTEGER NOT NULL REFERENCES "sketches"("id"),
   "knobs" TEXT NOT NULL,
   "phase" TEXT NOT NULL,
   "batch" INTEGER NOT NULL,
   "seed" INTEGER NOT NULL,
   "status" TEXT NOT NULL,
   "message" TEXT NOT NULL,
   "samples" TEXT NOT NULL,
   "verified" INTEGER NOT NULL,
   "build_seconds" REAL NOT NULL,
   "measure_seconds" REAL NOT NULL,
   "evidence" TEXT NOT NULL,
   "created" TEXT NOT NULL,
   "seconds" REAL,
   "ci_low" REAL,
   "ci_high" REAL,
   "probe" REAL,
   "baseline_seconds" REAL,
   "max_error" REAL
, "checksum" INTEGER NOT NULL DEFAULT 0);
INSERT INTO "records" VALUES(1,'run0-trial-0-0',1,1,1,'{"i.tile":0}','trial',0,0,'ok','','[0.001,0.0011]',1,0.01,2.0,'measured','2026-01-02T03:05:00.000000+00:00',0.00105,0.001,0.0011,230.5,NULL,1.0e-06,3172344268);
INSERT INTO "records" VALUES(2,'run0-trial-0-1',1,1,2,'{"i.tile":1}','trial',0,0,'ok','','[0.002,0.0022]',1,0.01,2.0,'measured','2026-01-02T03:05:01.000000+00:00',0.0021,0.002,0.0022,230.5,NULL,1.0e-06,3286393000);
INSERT INTO "records" VALUES(3,'run0-trial-0-2',1,1,2,'{"i.tile":2}','trial',0,0,'ok','','[0.003,0.0033]',1,0.01,2.0,'measured','2026-01-02T03:05:02.000000+00:00',0.00315,0.003,0.0033,230.5,NULL,1.0e-06,520703767);
INSERT INTO "records" VALUES(4,'run0-trial-0-3',1,1,2,'{"i.tile":3}','trial',0,0,'crash','signal 11 ü','[]',0,0.0,0.0,'measured','2026-01-02T03:05:03.000000+00:00',NULL,NULL,NULL,NULL,NULL,NULL,2513762907);
INSERT INTO "records" VALUES(5,'run0-final-0-0',1,1,1,'{"i.tile":0}','final',0,0,'ok','','[0.001]',1,0.0,0.0,'measured','2026-01-02T03:06:00.000000+00:00',0.001,NULL,NULL,NULL,NULL,9e999,4261474831);
INSERT INTO "records" VALUES(6,'run1-trial-0-0',2,2,1,'{"i.tile":0}','trial',0,1,'ok','','[0.001,0.0011]',1,0.01,2.0,'measured','2026-01-02T03:05:00.000000+00:00',0.00105,0.001,0.0011,230.5,NULL,1.0e-06,1938842340);
INSERT INTO "records" VALUES(7,'run1-trial-0-1',2,2,2,'{"i.tile":1}','trial',0,1,'ok','','[0.002,0.0022]',1,0.01,2.0,'measured','2026-01-02T03:05:01.000000+00:00',0.0021,0.002,0.0022,230.5,NULL,1.0e-06,608557023);
INSERT INTO "records" VALUES(8,'run1-trial-0-2',2,2,2,'{"i.tile":2}','trial',0,1,'ok','','[0.003,0.0033]',1,0.01,2.0,'measured','2026-01-02T03:05:02.000000+00:00',0.00315,0.003,0.0033,230.5,NULL,1.0e-06,3515812927);
INSERT INTO "records" VALUES(9,'run1-trial-0-3',2,2,2,'{"i.tile":3}','trial',0,1,'crash','signal 11 ü','[]',0,0.0,0.0,'measured','2026-01-02T03:05:03.000000+00:00',NULL,NULL,NULL,NULL,NULL,NULL,2320403029);
INSERT INTO "records" VALUES(10,'run1-final-0-0',2,2,1,'{"i.tile":0}','final',0,1,'ok','','[0.001]',1,0.0,0.0,'measured','2026-01-02T03:06:00.000000+00:00',0.001,NULL,NULL,NULL,NULL,9e999,2861638745);
CREATE TABLE "runs" (
   "id" INTEGER PRIMARY KEY,
   "key" TEXT NOT NULL,
   "command" TEXT NOT NULL,
   "options" TEXT NOT NULL,
   "seed" INTEGER NOT NULL,
   "package_version" TEXT NOT NULL,
   "llvm_version" TEXT NOT NULL,
   "started" TEXT NOT NULL,
   "provenance" TEXT NOT NULL
, "compiler_flags" TEXT NOT NULL DEFAULT '', "driver" TEXT NOT NULL DEFAULT '', "clock" TEXT NOT NULL DEFAULT '', host_id INTEGER REFERENCES hosts(id), "checksum" INTEGER NOT NULL DEFAULT 0);
INSERT INTO "runs" VALUES(1,'run0','autotune conv2d','{"trials":20}',0,'0.1.0','20.1.8','2026-01-02T03:04:05.000006+00:00','{"python":"3.11.7"}','','','',1,3221624642);
INSERT INTO "runs" VALUES(2,'run1','autotune conv2d','{"trials":20}',1,'0.1.0','20.1.8','2026-01-02T03:04:05.000006+00:00','{"python":"3.11.7"}','','','',1,3389105396);
CREATE TABLE "sketches" (
   "id" INTEGER PRIMARY KEY,
   "key" TEXT NOT NULL,
   "text" TEXT NOT NULL
, "checksum" INTEGER NOT NULL DEFAULT 0);
INSERT INTO "sketches" VALUES(1,'a5dd3ce7993c63ad01d8a9a45922bc5f17d2c41c5f21a10671ec8c05c5ffc4aa','{"steps":[],"version":1}',737242495);
INSERT INTO "sketches" VALUES(2,'622b2881b70d09f5b7159c579546d84085d6000767aacea8317171fff2c8a9fa','{"steps":[["split",{"axis":"i","stage":"c"}]],"version":1}',2162288900);
CREATE TABLE "targets" (
   "id" INTEGER PRIMARY KEY,
   "key" TEXT NOT NULL,
   "name" TEXT NOT NULL,
   "text" TEXT NOT NULL
, "checksum" INTEGER NOT NULL DEFAULT 0);
INSERT INTO "targets" VALUES(1,'dccf5e10585bcb17ecfa68920c0530f9a0d1e823b566f4822f0e1c66164ba2fd','x86_avx512','x86_64 avx512',3634930519);
CREATE TABLE "tasks" (
   "id" INTEGER PRIMARY KEY,
   "workload_id" INTEGER NOT NULL REFERENCES "workloads"("id"),
   "target_id" INTEGER NOT NULL REFERENCES "targets"("id"),
   "device_id" INTEGER NOT NULL REFERENCES "devices"("id"),
   "threads" INTEGER NOT NULL,
   "toolchain" TEXT NOT NULL,
   "space_version" TEXT NOT NULL
, "checksum" INTEGER NOT NULL DEFAULT 0);
INSERT INTO "tasks" VALUES(1,1,1,1,1,'autotune 0.1.0, LLVM 20.1.8','1',1244114248);
INSERT INTO "tasks" VALUES(2,2,1,1,1,'autotune 0.1.0, LLVM 20.1.8','1',4054626535);
CREATE TABLE "workloads" (
   "id" INTEGER PRIMARY KEY,
   "key" TEXT NOT NULL,
   "operator" TEXT NOT NULL,
   "params" TEXT NOT NULL,
   "text" TEXT NOT NULL
, "family" TEXT NOT NULL DEFAULT '', "shape" TEXT NOT NULL DEFAULT '', "size" REAL NOT NULL DEFAULT 0.0, "checksum" INTEGER NOT NULL DEFAULT 0);
INSERT INTO "workloads" VALUES(1,'487d9d0116b7d69aa909d889efc71833678d4a6191e26eb13749d8ccd0873153','conv2d','{"batch":1,"channels":64,"dtype":"float32","kernel":"3,3"}','conv2d(batch=1, channels=64, dtype=float32, kernel=3,3)','conv2d(batch:1, channels:1, dtype="float32", kernel:2)','1,64,3,3',1.10223678130284543643e+01,3675140582);
INSERT INTO "workloads" VALUES(2,'8dab905701eab9338ce88db95ef8651ab3034dd589aae6624f81f437fa3929a7','','{}','expression float32[4,5]; float32[4|5]=(reduce sum (read 0 axis 0 axis 1))','expression float32[]; float32[]=(reduce sum (read 0 axis 0 axis 1))','4,5,4,5',9.81378119121703562655e+00,1255941597);
CREATE UNIQUE INDEX "idx_workloads_key"
    ON "workloads" ("key");
CREATE UNIQUE INDEX "idx_targets_key"
    ON "targets" ("key");
CREATE UNIQUE INDEX "idx_devices_key"
    ON "devices" ("key");
CREATE UNIQUE INDEX "idx_sketches_key"
    ON "sketches" ("key");
CREATE UNIQUE INDEX "idx_tasks_workload_id_target_id_device_id_threads_toolchain_space_version"
    ON "tasks" ("workload_id", "target_id", "device_id", "threads", "toolchain", "space_version");
CREATE UNIQUE INDEX "idx_runs_key"
    ON "runs" ("key");
CREATE UNIQUE INDEX "idx_records_trial"
    ON "records" ("trial");
CREATE INDEX "idx_records_task_id"
    ON "records" ("task_id");
CREATE INDEX records_best ON records (task_id, evidence, phase, seconds, verified) WHERE status = 'ok';
CREATE UNIQUE INDEX "idx_hosts_key"
    ON "hosts" ("key");
CREATE INDEX "idx_workloads_family_size_shape"
    ON "workloads" ("family", "size", "shape");
COMMIT;
PRAGMA application_id = 1096045892;
PRAGMA user_version = 2;
