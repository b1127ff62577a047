BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('v3.2.0.a');
CREATE TABLE studies (
	study_id INTEGER NOT NULL, 
	study_name VARCHAR(512) NOT NULL, 
	PRIMARY KEY (study_id)
);
INSERT INTO "studies" VALUES(1,'width');
INSERT INTO "studies" VALUES(2,'empty');
CREATE TABLE study_directions (
	study_direction_id INTEGER NOT NULL, 
	direction VARCHAR(8) NOT NULL, 
	study_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	PRIMARY KEY (study_direction_id), 
	UNIQUE (study_id, objective), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_directions" VALUES(1,'MAXIMIZE',1,0);
INSERT INTO "study_directions" VALUES(2,'MINIMIZE',2,0);
CREATE TABLE study_system_attributes (
	study_system_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_system_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE study_user_attributes (
	study_user_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_user_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE trial_heartbeats (
	trial_heartbeat_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	heartbeat DATETIME NOT NULL, 
	PRIMARY KEY (trial_heartbeat_id), 
	UNIQUE (trial_id), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_intermediate_values (
	trial_intermediate_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	intermediate_value FLOAT, 
	intermediate_value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_intermediate_value_id), 
	UNIQUE (trial_id, step), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_intermediate_values" VALUES(1,1,1,0.26,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(2,1,2,0.36,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(3,2,1,4.20000000000000039968e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(4,2,2,0.52,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(5,3,1,4.20000000000000039968e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(6,3,2,0.52,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(7,4,1,0.74,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(8,4,2,8.40000000000000079936e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(9,5,1,0.49,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(10,5,2,5.90000000000000079936e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(11,6,1,0.49,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(12,6,2,5.90000000000000079936e-01,'FINITE');
CREATE TABLE trial_params (
	param_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	param_name VARCHAR(512), 
	param_value FLOAT, 
	distribution_json TEXT, 
	PRIMARY KEY (param_id), 
	UNIQUE (trial_id, param_name), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_params" VALUES(1,1,'width',16.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 8, "high": 64}}');
INSERT INTO "trial_params" VALUES(2,1,'activation',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["relu", "tanh"]}}');
INSERT INTO "trial_params" VALUES(3,2,'width',32.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 8, "high": 64}}');
INSERT INTO "trial_params" VALUES(4,2,'activation',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["relu", "tanh"]}}');
INSERT INTO "trial_params" VALUES(5,3,'width',32.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 8, "high": 64}}');
INSERT INTO "trial_params" VALUES(6,3,'activation',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["relu", "tanh"]}}');
INSERT INTO "trial_params" VALUES(7,4,'width',64.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 8, "high": 64}}');
INSERT INTO "trial_params" VALUES(8,4,'activation',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["relu", "tanh"]}}');
INSERT INTO "trial_params" VALUES(9,5,'width',39.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 8, "high": 64}}');
INSERT INTO "trial_params" VALUES(10,5,'activation',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["relu", "tanh"]}}');
INSERT INTO "trial_params" VALUES(11,6,'width',39.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 8, "high": 64}}');
INSERT INTO "trial_params" VALUES(12,6,'activation',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["relu", "tanh"]}}');
CREATE TABLE trial_system_attributes (
	trial_system_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_system_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_system_attributes" VALUES(1,1,'fixed_params','{"width": 16, "activation": "relu"}');
INSERT INTO "trial_system_attributes" VALUES(2,2,'fixed_params','{"width": 32, "activation": "relu"}');
INSERT INTO "trial_system_attributes" VALUES(3,3,'fixed_params','{"width": 32, "activation": "relu"}');
INSERT INTO "trial_system_attributes" VALUES(4,4,'fixed_params','{"width": 64, "activation": "relu"}');
CREATE TABLE trial_user_attributes (
	trial_user_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_user_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_user_attributes" VALUES(1,1,'seed','0');
INSERT INTO "trial_user_attributes" VALUES(2,2,'seed','1');
INSERT INTO "trial_user_attributes" VALUES(3,3,'seed','0');
INSERT INTO "trial_user_attributes" VALUES(4,4,'seed','1');
INSERT INTO "trial_user_attributes" VALUES(5,5,'seed','0');
INSERT INTO "trial_user_attributes" VALUES(6,6,'seed','1');
CREATE TABLE trial_values (
	trial_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	value FLOAT, 
	value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_value_id), 
	UNIQUE (trial_id, objective), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_values" VALUES(1,1,0,0.16,'FINITE');
INSERT INTO "trial_values" VALUES(2,2,0,0.321,'FINITE');
INSERT INTO "trial_values" VALUES(3,3,0,0.322,'FINITE');
INSERT INTO "trial_values" VALUES(4,4,0,0.643,'FINITE');
INSERT INTO "trial_values" VALUES(5,5,0,5.90000000000000079936e-01,'FINITE');
CREATE TABLE trials (
	trial_id INTEGER NOT NULL, 
	number INTEGER, 
	study_id INTEGER, 
	state VARCHAR(8) NOT NULL, 
	datetime_start DATETIME, 
	datetime_complete DATETIME, 
	PRIMARY KEY (trial_id), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "trials" VALUES(1,0,1,'COMPLETE','2026-11-25 04:26:56.442059','2026-11-25 04:26:56.617968');
INSERT INTO "trials" VALUES(2,1,1,'COMPLETE','2026-11-25 04:26:56.707311','2026-11-25 04:26:56.853778');
INSERT INTO "trials" VALUES(3,2,1,'COMPLETE','2026-11-25 04:26:56.898529','2026-11-25 04:26:57.059522');
INSERT INTO "trials" VALUES(4,3,1,'COMPLETE','2026-11-25 04:26:57.076615','2026-11-25 04:26:57.103111');
INSERT INTO "trials" VALUES(5,4,1,'PRUNED','2026-11-25 04:26:57.122273','2026-11-25 04:26:57.287376');
INSERT INTO "trials" VALUES(6,5,1,'FAIL','2026-11-25 04:26:57.331218','2026-11-25 04:26:57.367219');
CREATE TABLE version_info (
	version_info_id INTEGER NOT NULL, 
	schema_version INTEGER, 
	library_version VARCHAR(256), 
	PRIMARY KEY (version_info_id), 
	CHECK (version_info_id=1)
);
INSERT INTO "version_info" VALUES(1,12,'4.9.0');
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE INDEX ix_trials_study_id ON trials (study_id);
COMMIT;
